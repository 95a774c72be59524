package dev.lockstep.image;

import dev.lockstep.block.open.Registry;
import dev.lockstep.nbd.client.NbdOpener;
import dev.lockstep.nbd.tls.TlsCredentials;

import org.jspecify.annotations.Nullable;

import java.util.function.Function;

/// The drivers of this program.
public final class Drivers {
    private Drivers() {}

    /// All of them; images may name others with every text that [ImageText] reads.
    ///
    /// @param credentials finds the TLS credentials of a name, or null
    public static Registry all(Function<String, @Nullable TlsCredentials> credentials) {
        return Registry.ofCore().with("nbd", new NbdOpener(credentials)).with(ImageText::parse);
    }
}
