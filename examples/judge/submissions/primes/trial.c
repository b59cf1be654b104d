/* expect: time limit
 * Divides by every number. */
#include <stdio.h>

int main(void)
{
	unsigned n, count = 0;

	if (scanf("%u", &n) != 1)
		return 1;
	for (unsigned i = 2; i <= n; i++) {
		unsigned d = 2;
		while (i % d)
			d++;
		count += d == i;
	}
	printf("%u\n", count);
	return 0;
}
