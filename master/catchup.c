#include "master/catchup.h"

#include "common/log.h"

/* There are no checkpoints yet: such a master waits, and says so. */
enum status catchup_index(const struct catchup_spec *spec)
{
    (void)spec;
    log_event(LOG_ERROR, "catchup",
              "event=no-checkpoint error=\"this index lacks entries that the log has no more\" "
              "advice=\"copy the index directory of another master that is stopped\"");
    return ST_NOT_IMPLEMENTED;
}
