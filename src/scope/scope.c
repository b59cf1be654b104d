/* hutch-scope: asks a systemd manager for a transient scope around one process, puts that process into a cgroup of its
 * own there, and prints the cgroup's directory. It stays in the scope itself, in a cgroup beside, until standard input
 * ends: a scope without processes is removed at once, and with it what the kernel counted.
 * A program of its own, started only for a limit that needs it: libsystemd stays off the path of a plain run.
 * Runs in: a process of its own, child of the launcher.
 *
 *   hutch-scope user|system PID
 *
 * Standard output: the directory, or what went wrong and status 1. */
#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <systemd/sd-bus.h>

#define SERVICE "org.freedesktop.systemd1"
#define MANAGER "/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager"
#define DEADLINE_US 20000000u /* a busy machine's manager takes seconds; the launcher's own deadline is longer */

static int fail(const char *what, const char *why)
{
	printf("%s: %s\n", what, why);
	return 1;
}

static int fail_bus(const char *what, const sd_bus_error *e, int r)
{
	return fail(what, e->message ? e->message : strerror(-r));
}

struct job { const char *path; bool done, good; };

static int on_removed(sd_bus_message *m, void *data, sd_bus_error *e)
{
	struct job *job = data;
	const char *path, *unit, *result;
	uint32_t id;

	(void)e;
	if (sd_bus_message_read(m, "uoss", &id, &path, &unit, &result) < 0 || !job->path || strcmp(path, job->path))
		return 0;
	job->done = true;
	job->good = !strcmp(result, "done");
	return 0;
}

static int add_flag(sd_bus_message *m, const char *name)
{
	return sd_bus_message_append(m, "(sv)", name, "b", 1);
}

/* All accounting on, so that the manager enables every controller that it may hand down. */
static int add_properties(sd_bus_message *m, uint32_t pid)
{
	static const char *const flags[] = { "Delegate", "CPUAccounting", "MemoryAccounting", "TasksAccounting", "IOAccounting" };
	int r = sd_bus_message_open_container(m, 'a', "(sv)");

	if (r >= 0)
		r = sd_bus_message_append(m, "(sv)", "Description", "s", "hutch sandbox");
	if (r >= 0)
		r = sd_bus_message_append(m, "(sv)", "PIDs", "au", 2, pid, (uint32_t)getpid());
	if (r >= 0)
		r = sd_bus_message_append(m, "(sv)", "CollectMode", "s", "inactive-or-failed");
	for (size_t i = 0; r >= 0 && i < sizeof flags / sizeof *flags; i++)
		r = add_flag(m, flags[i]);
	return r < 0 ? r : sd_bus_message_close_container(m);
}

static int start_scope(sd_bus *bus, const char *unit, uint32_t pid, sd_bus_message **reply, sd_bus_error *e)
{
	sd_bus_message *m = NULL;
	int r = sd_bus_message_new_method_call(bus, &m, SERVICE, MANAGER, "StartTransientUnit");

	if (r >= 0)
		r = sd_bus_message_append(m, "ss", unit, "fail");
	if (r >= 0)
		r = add_properties(m, pid);
	if (r >= 0)
		r = sd_bus_message_append(m, "a(sa(sv))", 0);
	if (r >= 0)
		r = sd_bus_call(bus, m, DEADLINE_US, e, reply);
	sd_bus_message_unref(m);
	return r;
}

static uint64_t now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000u + (uint64_t)t.tv_nsec / 1000u;
}

static int wait_for(sd_bus *bus, struct job *job)
{
	uint64_t end = now_us() + DEADLINE_US;

	while (!job->done) {
		int r = sd_bus_process(bus, NULL);
		if (r < 0)
			return r;
		if (r > 0)
			continue;
		if (now_us() >= end)
			return -ETIMEDOUT;
		r = sd_bus_wait(bus, end - now_us());
		if (r < 0 && r != -EINTR)
			return r;
	}
	return job->good ? 0 : -ECANCELED;
}

/* Where version 2 of cgroups is mounted: "/sys/fs/cgroup", or below it on a hybrid host. */
static bool find_mount(char *out, size_t size)
{
	char line[4096], at[4096];
	FILE *f = fopen("/proc/self/mountinfo", "re");
	bool found = false;

	while (f && !found && fgets(line, sizeof line, f)) {
		if (!strstr(line, " - cgroup2 ") || sscanf(line, "%*s %*s %*s %*s %4095s", at) != 1 || strlen(at) >= size)
			continue;
		strcpy(out, at);
		found = true;
	}
	if (f)
		fclose(f);
	return found;
}

static int write_file(const char *dir, const char *file, const char *text)
{
	char path[4352];
	FILE *f;
	int r;

	snprintf(path, sizeof path, "%s/%s", dir, file);
	f = fopen(path, "we");
	if (!f)
		return -errno;
	r = fputs(text, f) < 0 ? -errno : 0;
	if (fclose(f) != 0 && !r)
		r = -errno;
	return r;
}

static int move(const char *scope, const char *name, uint32_t pid)
{
	char dir[4224], number[16];

	snprintf(dir, sizeof dir, "%s/%s", scope, name);
	snprintf(number, sizeof number, "%u", pid);
	if (mkdir(dir, 0755) < 0 && errno != EEXIST)
		return -errno;
	return write_file(dir, "cgroup.procs", number);
}

/* Every controller that was handed down is handed on; which of them a limit needs is the launcher's to check. */
static int enable_all(const char *scope)
{
	char path[4352], line[512] = "", *rest, *word;
	FILE *f;

	snprintf(path, sizeof path, "%s/cgroup.controllers", scope);
	f = fopen(path, "re");
	if (!f)
		return -errno;
	if (!fgets(line, sizeof line, f))
		line[0] = '\0';
	fclose(f);
	for (word = strtok_r(line, " \n", &rest); word; word = strtok_r(NULL, " \n", &rest)) {
		char one[64];
		int r;
		snprintf(one, sizeof one, "+%s", word);
		r = write_file(scope, "cgroup.subtree_control", one);
		if (r < 0)
			return r;
	}
	return 0;
}

/* A cgroup with children that have controllers may hold no process: both go to leaves. */
static int settle(const char *scope, uint32_t pid)
{
	int r = move(scope, "hutch-holder", (uint32_t)getpid());

	if (r >= 0)
		r = move(scope, "hutch-run", pid);
	if (r >= 0)
		r = enable_all(scope);
	if (r < 0)
		return fail("dividing the scope's cgroup", strerror(-r));
	printf("%s/hutch-run\n", scope);
	return 0;
}

static int settle_in(sd_bus *bus, const char *unit, uint32_t pid)
{
	sd_bus_error e = SD_BUS_ERROR_NULL;
	sd_bus_message *reply = NULL;
	const char *object;
	char *group = NULL, scope[4096];
	size_t used;
	int r = sd_bus_call_method(bus, SERVICE, MANAGER, "GetUnit", &e, &reply, "s", unit);

	if (r >= 0)
		r = sd_bus_message_read(reply, "o", &object);
	if (r >= 0)
		r = sd_bus_get_property_string(bus, SERVICE, object, "org.freedesktop.systemd1.Scope", "ControlGroup", &e, &group);
	if (r < 0)
		return fail_bus("reading the scope's cgroup", &e, r);
	if (!group || !*group || !find_mount(scope, sizeof scope) || (used = strlen(scope)) + strlen(group) >= sizeof scope)
		return fail("reading the scope's cgroup", "there is none");
	strcpy(scope + used, group);
	free(group);
	sd_bus_message_unref(reply);
	sd_bus_error_free(&e);
	return settle(scope, pid);
}

/* Numbers of processes mean nothing to a manager in another pid namespace, whose bus is shown here: it would take a
 * process that isn't ours. The bus tells under which number it knows us. */
static int same_numbers(sd_bus *bus)
{
	sd_bus_error e = SD_BUS_ERROR_NULL;
	sd_bus_message *reply = NULL;
	const char *name;
	uint32_t pid = 0;
	int r = sd_bus_get_unique_name(bus, &name);

	if (r >= 0)
		r = sd_bus_call_method(bus, "org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", "GetConnectionUnixProcessID",
				       &e, &reply, "s", name);
	if (r >= 0)
		r = sd_bus_message_read(reply, "u", &pid);
	if (r < 0)
		return fail_bus("asking the bus for our process id", &e, r);
	sd_bus_message_unref(reply);
	sd_bus_error_free(&e);
	return pid == (uint32_t)getpid() ? 0 : fail("starting the scope", "the manager is in another pid namespace than hutch");
}

static int run(sd_bus *bus, uint32_t pid)
{
	sd_bus_error e = SD_BUS_ERROR_NULL;
	sd_bus_message *reply = NULL;
	struct job job = { 0 };
	char unit[128];
	int r = same_numbers(bus);

	if (r != 0)
		return r;
	snprintf(unit, sizeof unit, "hutch-%u-%llx.scope", pid, (unsigned long long)now_us());
	/* Before the call, or a fast job's end would be missed. */
	r = sd_bus_match_signal(bus, NULL, SERVICE, MANAGER, "JobRemoved", on_removed, &job);
	if (r < 0)
		return fail_bus("subscribing to the manager's signals", &e, r);
	r = start_scope(bus, unit, pid, &reply, &e);
	if (r < 0)
		return fail_bus("starting the scope", &e, r);
	r = sd_bus_message_read(reply, "o", &job.path);
	if (r >= 0)
		r = wait_for(bus, &job);
	if (r < 0)
		return fail("waiting for the scope", strerror(-r));
	sd_bus_message_unref(reply);
	sd_bus_error_free(&e);
	return settle_in(bus, unit, pid);
}

int main(int argc, char **argv)
{
	bool user = argc == 3 && !strcmp(argv[1], "user");
	char runtime[64], *end;
	unsigned long pid = argc == 3 ? strtoul(argv[2], &end, 10) : 0;
	sd_bus *bus = NULL;
	char byte;
	ssize_t n;
	int r;

	if (argc != 3 || (!user && strcmp(argv[1], "system")) || *end || !pid || pid > INT32_MAX)
		return fail("usage", "hutch-scope user|system PID");
	/* Over su or sudo the variable is often missing, and the manager is there all the same. */
	snprintf(runtime, sizeof runtime, "/run/user/%u", (unsigned)geteuid());
	if (user && setenv("XDG_RUNTIME_DIR", runtime, 0) < 0)
		return fail("setenv", strerror(errno));
	r = user ? sd_bus_open_user(&bus) : sd_bus_open_system(&bus);
	if (r < 0)
		return fail(user ? "connecting to the user's bus" : "connecting to the system's bus", strerror(-r));
	r = run(bus, (uint32_t)pid);
	sd_bus_flush_close_unref(bus);
	if (fflush(stdout) != 0 || r != 0)
		return 1;
	/* Not by the keyboard: the launcher decides when the run is over. */
	setsid();
	while ((n = read(0, &byte, 1)) > 0 || (n < 0 && errno == EINTR))
		continue;
	return 0;
}
