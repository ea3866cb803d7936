// Does nothing, for ever, and reaps: the first process of a pod, and of a machine of the sandbox.
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static void end(int signal_number) { _exit(signal_number == SIGINT || signal_number == SIGTERM ? 0 : 1); }

static void reap(int signal_number) {
	(void)signal_number;
	while (waitpid(-1, NULL, WNOHANG) > 0) {
	}
}

int main(void) {
	struct sigaction on_child = {.sa_handler = reap, .sa_flags = SA_NOCLDSTOP | SA_RESTART};
	struct sigaction on_end = {.sa_handler = end};
	if (sigaction(SIGCHLD, &on_child, NULL) || sigaction(SIGINT, &on_end, NULL) || sigaction(SIGTERM, &on_end, NULL))
		return 1;
	for (;;)
		pause();
}
