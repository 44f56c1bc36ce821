/*
 * The commands of `larder`, one a file. Each gets its own command line, argv[0] being its name, and
 * returns the exit status of the program.
 */
#ifndef LARDER_TOOLS_COMMANDS_H
#define LARDER_TOOLS_COMMANDS_H

enum {
    EXIT_WELL = 0,
    EXIT_FAILED = 1, /* it failed; or there is something to report, for verify */
    EXIT_TROUBLE = 2 /* wrong usage; or the work could not be done, for verify */
};

int put_run(int argc, char **argv);
int get_run(int argc, char **argv);
int rm_run(int argc, char **argv);
int unlink_run(int argc, char **argv);
int ls_run(int argc, char **argv);
int stat_run(int argc, char **argv);
int status_run(int argc, char **argv);
int addvolume_run(int argc, char **argv);
int drain_run(int argc, char **argv);
int removevolume_run(int argc, char **argv);
int repair_run(int argc, char **argv);
int scrub_run(int argc, char **argv);
int watchkeys_run(int argc, char **argv);
int backup_run(int argc, char **argv);
int restore_run(int argc, char **argv);
int rebuild_run(int argc, char **argv);
int rebalance_run(int argc, char **argv);
int verify_run(int argc, char **argv);
int bench_run(int argc, char **argv);

#endif
