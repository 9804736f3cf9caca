"""The checks of `hyperhive doctor`: an agent, its machine and its hive."""
