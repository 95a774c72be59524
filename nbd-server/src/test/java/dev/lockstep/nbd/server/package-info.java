/// The server, seen by clients that behave, by clients that do not, and by real peers.
@NullMarked
package dev.lockstep.nbd.server;

import org.jspecify.annotations.NullMarked;
