/* host-race: two threads change one policy at once, which its contract forbids. Under ThreadSanitizer that must be
 * reported, in the library's own code: so tools/lint.sh shows that a race there would be seen.
 * Runs in: the test process. */
#include "embed.h"

#include <pthread.h>

static pthread_barrier_t line;

static void *change(void *policy)
{
	struct hutch_error e;

	pthread_barrier_wait(&line);
	for (int i = 0; i < 50; i++)
		hutch_policy_set(policy, "hostname", "race", &e);
	return NULL;
}

int main(void)
{
	hutch_policy *policy = hutch_policy_new();
	pthread_t threads[2];

	pthread_barrier_init(&line, NULL, 2);
	for (int i = 0; i < 2; i++)
		CHECK(pthread_create(&threads[i], NULL, change, policy) == 0, "%d", i);
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	puts("no race was seen");
	return 0;
}
