"""The console's pages: who may do what, what is sent once, what no address can ask for."""
