package io.github.panascope.spark;

import io.github.panascope.InputException;
import io.github.panascope.torch.Torch;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.UUID;
import org.apache.hadoop.fs.FileStatus;

/** Folders of Hadoop file systems on this machine's disk, where the readers of weights find them. */
final class LocalFolders {
    private LocalFolders() {}

    /**
     * Returns a place that the library reads: names and paths as they are, and a URI such as {@code hdfs://nn/gpt2} as
     * a folder of this machine's cache, to which its files are copied once.
     *
     * @throws InputException if the folder cannot be read
     */
    static String of(String place) {
        if (!place.matches("[A-Za-z][A-Za-z0-9+.-]*:/.*")) return place;
        if (place.startsWith("file:")) return HadoopFiles.localPath(place).toString();
        HadoopFiles files = HadoopFiles.at(place);
        if (files.list().isEmpty())
            throw new InputException(place + " is no folder with files: give that of a model or an SAE.");
        StringBuilder content = new StringBuilder(place);
        for (FileStatus file : files.list())
            content.append('\n')
                    .append(file.getPath().getName())
                    .append(' ')
                    .append(file.getLen())
                    .append(' ')
                    .append(file.getModificationTime());
        Path kept = Torch.cache()
                .resolve("folders")
                .resolve(UUID.nameUUIDFromBytes(content.toString().getBytes(StandardCharsets.UTF_8))
                        .toString());
        synchronized (LocalFolders.class) {
            if (Files.isDirectory(kept)) return kept.toString();
            Path part = kept.resolveSibling(kept.getFileName() + "." + UUID.randomUUID() + ".part");
            try {
                for (FileStatus file : files.list())
                    if (file.isFile())
                        files.fetch(
                                file.getPath().getName(),
                                part.resolve(file.getPath().getName()));
                Files.move(part, kept);
            } catch (IOException e) {
                if (!Files.isDirectory(kept)) // another process was first
                throw new InputException(kept + " cannot be written: " + InputException.reason(e) + ".", e);
            } finally {
                if (Files.exists(part)) UnitTask.delete(part);
            }
            return kept.toString();
        }
    }
}
