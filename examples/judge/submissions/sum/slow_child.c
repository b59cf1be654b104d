/* expect: time limit
 * Lets a grandchild compute that it never waits for. */
#include <sys/resource.h>
#include <unistd.h>
#include <stdio.h>

static long long answer(void)
{
	long long n, x, sum = 0;

	if (scanf("%lld", &n) != 1)
		return 0;
	while (n-- > 0 && scanf("%lld", &x) == 1)
		sum += x;
	return sum;
}

int main(void)
{
	struct rlimit most = { 8, 8 };
	volatile unsigned long n = 0;

	setrlimit(RLIMIT_CPU, &most);
	if (fork() == 0) {
		if (fork() == 0)
			for (;;)
				n++;
		_exit(0);
	}
	sleep(8);
	printf("%lld\n", answer());
	return 0;
}
