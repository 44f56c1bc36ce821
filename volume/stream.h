/* The way of a large value that has to be verified: see stream.c. */
#ifndef LARDER_VOLUME_STREAM_H
#define LARDER_VOLUME_STREAM_H

struct answer;
struct flow;
struct store_value;

/* Answers the flow's request with the whole value, whose MD5 is known. Takes over what `flow` has,
 * and value->fd; copies all three structs. On the loop; no job of the flow is under way. */
void stream_start(const struct flow *flow, const struct store_value *value,
                  const struct answer *answer);

#endif
