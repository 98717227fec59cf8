package io.github.panascope.data;

import dev.hardwood.reader.ParquetFileReader;
import io.github.panascope.InputException;
import java.nio.file.Path;
import java.util.Optional;

/** What is packed is unpacked by native code, which Java can be told not to allow. */
final class NativeAccess {
    /** Where the libraries are modules, each has to be allowed by its name. */
    static final String OPTION = "--enable-native-access="
            + (ParquetFileReader.class.getModule().isNamed()
                    ? "dev.hardwood.core,org.xerial.snappy,com.github.luben.zstd_jni"
                    : "ALL-UNNAMED");

    private NativeAccess() {}

    /** The complaint to throw if something was thrown for that reason; some libraries keep nothing but its message. */
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
