/* Dates of HTTP (RFC 9110, section 5.6.7). */
#ifndef LARDER_VOLUME_DATE_H
#define LARDER_VOLUME_DATE_H

#include <stdbool.h>
#include <time.h>

#include "common/attr.h"

enum { DATE_SIZE = 40 };

/* "Wed, 21 Oct 2015 07:28:00 GMT" (IMF-fixdate); the beginning of 1970 where the time has no such
 * form. */
void date_format(time_t when, char text[DATE_SIZE]);

/* Reads any of the three forms that a server must accept (RFC 9110, 5.6.7); false for anything
 * else. The day of the week is not compared with the date. */
bool date_parse(const char *text, time_t *when) MUST_CHECK;

#endif
