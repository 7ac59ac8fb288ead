"""A search as a page for people (`page.html_page`), a table (`table.csv_table`) and a picture."""
