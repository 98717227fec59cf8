package io.github.panascope.internal;

import io.github.panascope.InputException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.snakeyaml.engine.v2.api.Load;
import org.snakeyaml.engine.v2.api.LoadSettings;
import org.snakeyaml.engine.v2.exceptions.YamlEngineException;
import tools.jackson.core.JacksonException;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/**
 * A reader of YAML files as JSON trees. Needs org.snakeyaml:snakeyaml-engine, which users of the library add if they
 * need it.
 */
public final class Yaml {
    /** The longest file: twenty times the size of SAELens's registry. */
    private static final int MAX_LENGTH = 32 << 20;

    private Yaml() {}

    /**
     * Reads a YAML file.
     *
     * @param file the file, in UTF-8, of at most 32 MiB
     * @return its content as a JSON tree
     * @throws InputException if the file is missing, cannot be read, is too long or is not valid YAML
     */
    public static JsonNode read(Path file) {
        try {
            TextFile.requireRegular(file);
            if (Files.size(file) > MAX_LENGTH)
                throw new InputException(
                        file + " has " + Files.size(file) + " bytes, where at most " + MAX_LENGTH + " make sense.");
            // Aliases of collections are refused: no registry needs them, and a few lines of them expand to gigabytes.
            LoadSettings settings = LoadSettings.builder()
                    .setLabel(file.toString())
                    .setCodePointLimit(MAX_LENGTH)
                    .setMaxAliasesForCollections(0)
                    .setAllowDuplicateKeys(false)
                    .build();
            return JsonMapper.shared().valueToTree(new Load(settings).loadFromString(Files.readString(file)));
        } catch (IOException e) {
            throw new InputException(file + " cannot be read: " + InputException.reason(e), e);
        } catch (YamlEngineException | JacksonException | StackOverflowError e) {
            throw new InputException(
                    file + " is not valid YAML: "
                            + (e.getMessage() == null
                                    ? "it is nested too deeply"
                                    : e.getMessage().strip().replaceAll("\\s*\\n\\s*", " "))
                            + ".",
                    e);
        }
    }
}
