/// Images in QEMU's format qcow2. [Qcow2Options] says how one is used.
@NullMarked
package dev.lockstep.block.qcow2;

import org.jspecify.annotations.NullMarked;
