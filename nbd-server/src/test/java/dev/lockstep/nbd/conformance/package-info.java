/// Which test shows which requirement of the protocol.
///
/// `requirements.txt`, beside this package's classes, lists what the protocol document asks of
/// servers and clients; a test that shows one of them names its key with
/// [dev.lockstep.nbd.conformance.Shows]. From both comes `docs/nbd-conformance.md`.
@NullMarked
package dev.lockstep.nbd.conformance;

import org.jspecify.annotations.NullMarked;
