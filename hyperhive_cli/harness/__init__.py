"""The harness: joins agent, store, control socket, hive and display to a program that runs."""
