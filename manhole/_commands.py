def is_command(line):
    return line.startswith("%")


def run_command(line, session):
    session.write("command " + line + "\n")
