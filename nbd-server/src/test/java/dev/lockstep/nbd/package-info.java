/// Tests of the wire without sockets: names, addresses, messages, negotiation.
@NullMarked
package dev.lockstep.nbd;

import org.jspecify.annotations.NullMarked;
