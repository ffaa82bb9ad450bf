"""Half a million inputs nobody would send on purpose: no 500, no late answer, no growth."""
