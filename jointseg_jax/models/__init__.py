"""Networks: plain arguments in, arrays out; they know neither data nor devices nor config objects."""
