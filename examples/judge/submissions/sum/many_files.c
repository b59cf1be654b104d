/* expect: disk
 * Many files, none too large; here 64 MiB at most. */
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
	static char block[1 << 19];
	char name[32];

	for (int i = 0; i < 128; i++) {
		FILE *f;
		snprintf(name, sizeof name, "/tmp/%d", i);
		f = fopen(name, "w");
		if (!f || fwrite(block, sizeof block, 1, f) != 1 || fclose(f) != 0)
			return 1;
	}
	printf("%lld\n", answer());
	return 0;
}
