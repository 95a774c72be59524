/// A filter for users who do not flush: every write is durable when it returns.
@NullMarked
package dev.lockstep.block.filter.writethrough;

import org.jspecify.annotations.NullMarked;
