package dev.lockstep.cli.img;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.BlockException.Kind;
import dev.lockstep.image.UserObjects;

import org.jspecify.annotations.Nullable;

import picocli.CommandLine.Option;

import java.util.List;

/// `--object`: what the options of an image name.
public final class ObjectArguments {
    @Option(
            names = "--object",
            paramLabel = "TYPE,id=ID,...",
            description =
                    "Define what an image's options name: tls-creds-x509 (dir), tls-creds-psk (dir,"
                            + " username), throttle-group (x-bps-total, ...), secret.")
    private List<String> definitions = List.of();

    private @Nullable UserObjects objects;

    /// What it defines, the same at each call.
    ///
    /// @throws BlockException if a definition is wrong
    public UserObjects objects() throws BlockException {
        UserObjects known = objects;
        if (known == null) {
            try {
                known = UserObjects.parse(definitions);
            } catch (IllegalArgumentException e) {
                throw new BlockException(Kind.INVALID, String.valueOf(e.getMessage()), e);
            }
            objects = known;
        }
        return known;
    }
}
