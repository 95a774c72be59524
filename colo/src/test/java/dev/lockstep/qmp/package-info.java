/// Tests of the monitor over real sockets.
@NullMarked
package dev.lockstep.qmp;

import org.jspecify.annotations.NullMarked;
