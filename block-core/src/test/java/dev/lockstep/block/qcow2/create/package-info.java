/// New images are what QEMU's tools would have made, and nothing until they are complete.
@NullMarked
package dev.lockstep.block.qcow2.create;

import org.jspecify.annotations.NullMarked;
