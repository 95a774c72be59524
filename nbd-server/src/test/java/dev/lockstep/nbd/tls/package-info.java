/// Tests of TLS, and the authority that makes their certificates.
@NullMarked
package dev.lockstep.nbd.tls;

import org.jspecify.annotations.NullMarked;
