package dev.lockstep.image;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.open.OptionReader;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.util.Base64;
import java.util.function.Function;

import javax.crypto.Cipher;
import javax.crypto.spec.IvParameterSpec;
import javax.crypto.spec.SecretKeySpec;

/// What `--object secret,id=ID,...` defines: a password, given by `data` or `file`, in Base64 if
/// `format` says so, and encrypted if `keyid` names the secret that is the key (AES-256 in CBC
/// mode, with the initial vector `iv` in Base64).
final class Secret {
    private final byte[] bytes;

    private Secret(byte[] bytes) {
        this.bytes = bytes;
    }

    /// How the bytes are written.
    private enum Format {
        RAW,
        BASE64
    }

    /// Reads a definition, and the file that it may name.
    ///
    /// @param others the secrets that are defined already, by their ids
    static Secret read(OptionReader options, Function<String, Secret> others)
            throws BlockException {
        String data = options.textOrNull("data");
        String file = options.textOrNull("file");
        if ((data == null) == (file == null)) {
            throw options.invalid("a secret is given by either data=TEXT or file=FILE");
        }
        Format format = options.choice("format", Format.class, Format.RAW);
        String key = options.textOrNull("keyid");
        String iv = options.textOrNull("iv");
        if ((key == null) != (iv == null)) {
            throw options.invalid("keyid and iv belong together");
        }
        byte[] written =
                data == null
                        ? contents(String.valueOf(file), options)
                        : data.getBytes(StandardCharsets.UTF_8);
        byte[] bytes =
                format == Format.RAW
                        ? written
                        : base64(new String(written, StandardCharsets.ISO_8859_1), options);
        return new Secret(
                key == null
                        ? bytes
                        : decrypted(bytes, others.apply(key), String.valueOf(iv), options));
    }

    /// The password as text.
    String text() {
        return new String(bytes, StandardCharsets.UTF_8);
    }

    private static byte[] contents(String file, OptionReader options) throws BlockException {
        try {
            return Files.readAllBytes(Path.of(file));
        } catch (IOException _) {
            throw options.invalid("the file %s cannot be read".formatted(file));
        }
    }

    private static byte[] base64(String text, OptionReader options) throws BlockException {
        try {
            return Base64.getDecoder().decode(text.strip());
        } catch (IllegalArgumentException e) {
            throw options.invalid("it is no Base64: " + e.getMessage());
        }
    }

    private static byte[] decrypted(byte[] bytes, Secret key, String iv, OptionReader options)
            throws BlockException {
        try {
            Cipher cipher = Cipher.getInstance("AES/CBC/PKCS5Padding");
            cipher.init(
                    Cipher.DECRYPT_MODE,
                    new SecretKeySpec(key.bytes, "AES"),
                    new IvParameterSpec(base64(iv, options)));
            return cipher.doFinal(bytes);
        } catch (GeneralSecurityException e) {
            throw options.invalid("it cannot be decrypted: " + e.getMessage());
        }
    }
}
