package io.github.panascope.data;

import dev.hardwood.reader.ParquetFileReader;
import io.github.panascope.InputException;
import java.nio.file.Path;
import java.util.Optional;

/** Access to native code, which decompresses data and which Java can be configured to refuse. */
final class NativeAccess {
    /** The option that permits native access; where the libraries are modules, each has to be named. */
    static final String OPTION = "--enable-native-access="
            + (ParquetFileReader.class.getModule().isNamed()
                    ? "dev.hardwood.core,org.xerial.snappy,com.github.luben.zstd_jni"
                    : "ALL-UNNAMED");

    private NativeAccess() {}

    /**
     * Returns the exception to throw if refused native access caused another exception; some libraries keep only the
     * message of the original one.
     */
    static Optional<InputException> refused(Path file, Throwable thrown) {
        for (Throwable each = thrown; each != null; each = each.getCause()) {
            boolean denied = each instanceof IllegalCallerException
                    || String.valueOf(each.getMessage()).contains("Illegal native access");
            if (denied)
                return Optional.of(new InputException(
                        file + " cannot be read, as it is unpacked by native code, which this Java does not allow:"
                                + " start it with " + OPTION + ".",
                        thrown));
        }
        return Optional.empty();
    }
}
