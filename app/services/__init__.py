"""The services: a request and a catalogue snapshot in, a result out. Every view calls these and nothing below."""
