"""What only an operator may do: keys, prices through the API and on pages, and what there is to look back on."""
