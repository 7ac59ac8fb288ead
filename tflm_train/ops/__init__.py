"""Every operator, declared once: what it takes and gives, and what it costs."""
