"""The command line: parse, call the engine, print. The only package that prints or exits."""
