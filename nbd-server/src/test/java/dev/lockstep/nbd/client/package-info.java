/// The client against real servers (qemu-nbd, nbdkit), dying ones, stalled ones and hostile ones.
@NullMarked
package dev.lockstep.nbd.client;

import org.jspecify.annotations.NullMarked;
