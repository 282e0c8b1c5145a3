"""The report on a prepared dataset: `findings` measures, `page` shows; it imports from `data` and the rooms below."""
