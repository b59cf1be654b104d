/* How a run ended.
 * Runs in: parent. */
#include "lib/lib.h"

static const char *const ends[] = { "none", "exited", "signalled", "killed" };

int hutch_report_exit_status(const struct hutch_report *r)
{
	return r->end == HUTCH_END_EXITED ? r->exit_code : 128 + r->signal;
}

char *hutch_report_json(const struct hutch_report *r)
{
	struct text t;

	text_init(&t);
	text_printf(&t, "{\"end\":\"%s\"", ends[r->end]);
	if (r->end == HUTCH_END_EXITED)
		text_printf(&t, ",\"exit_code\":%d", r->exit_code);
	else
		text_printf(&t, ",\"signal\":%d,\"core_dumped\":%s", r->signal, r->core_dumped ? "true" : "false");
	text_printf(&t, ",\"wall_us\":%lld,\"user_us\":%lld,\"system_us\":%lld,\"setup_us\":%lld,\"max_rss_kib\":%lld}\n",
		    (long long)r->wall_us, (long long)r->user_us, (long long)r->system_us, (long long)r->setup_us, (long long)r->max_rss_kib);
	if (t.failed) {
		text_done(&t);
		return NULL;
	}
	return t.s;
}
