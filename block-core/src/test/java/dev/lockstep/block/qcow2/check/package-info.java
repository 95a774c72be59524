/// The checker agrees with QEMU's, and what it has repaired QEMU finds sound.
@NullMarked
package dev.lockstep.block.qcow2.check;

import org.jspecify.annotations.NullMarked;
