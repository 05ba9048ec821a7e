"""lossd, and the peers that the catalogue writes out, against the libraries themselves."""
