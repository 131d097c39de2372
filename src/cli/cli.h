/* cli: the parts of the blkverify command, and what they share. */
#ifndef BV_CLI_H
#define BV_CLI_H

/* Each call of the command has a file of its own. argv[0] is its name, what
 * follows its arguments; returns the exit status. */
int cli_run(int argc, char **argv);
int cli_prepare(int argc, char **argv);
int cli_compare(int argc, char **argv);
int cli_inspect(int argc, char **argv);
int cli_doctor(int argc, char **argv);

/* One line on standard error, "blkverify: " in front. */
void cli_say(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Has standard output taken all? Returns 0; or -1 after saying why not, without
 * a word where a signal ends us for it. */
int cli_output_end(void);

#endif
