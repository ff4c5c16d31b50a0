"""Running a program that is not trusted."""
