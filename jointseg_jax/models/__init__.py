"""Networks: plain arguments in, arrays out. They do not depend on datasets, devices or config objects."""
