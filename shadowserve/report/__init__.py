"""The report: one object of facts, and the page that shows it."""
