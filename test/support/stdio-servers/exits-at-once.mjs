// What a server does that was not given what it needs.
process.stderr.write("reading the configuration\n");
process.stderr.write("REPORTS_KEY is not set\n");
process.exit(1);
