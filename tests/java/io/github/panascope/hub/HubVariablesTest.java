package io.github.panascope.hub;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.panascope.InputException;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.Map;
import java.util.stream.Stream;
import okhttp3.HttpUrl;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/**
 * Environment variables mean what tests/peers/make_hub_variables.py found that Python's requests and huggingface_hub
 * make of them.
 */
class HubVariablesTest {
    /** As the system's list of users has it. */
    private static final String ROOTS_HOME = rootsHome();

    @TempDir
    private Path folder;

    private static String rootsHome() {
        try (Stream<String> users = Files.lines(Path.of("/etc/passwd"))) {
            return users.filter(user -> user.startsWith("root:"))
                    .map(user -> user.split(":")[5])
                    .findFirst()
                    .orElseThrow();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    private static Stream<JsonNode> golden(String part) throws IOException {
        return JsonMapper.shared()
                .readTree(Files.readString(Path.of("tests/resources/hub_variables.json")))
                .get(part)
                .valueStream();
    }

    private static Map<String, String> environment(JsonNode golden) {
        Map<String, String> environment = new HashMap<>();
        golden.get("environment").forEachEntry((name, value) -> environment.put(name, value.asString()));
        return environment;
    }

    static Stream<JsonNode> proxies() throws IOException {
        return golden("proxies");
    }

    @ParameterizedTest
    @MethodSource("proxies")
    void proxiesAreThoseOfRequests(JsonNode golden) {
        EnvironmentProxy proxies = EnvironmentProxy.of(environment(golden));
        HttpUrl address = HttpUrl.get(golden.get("address").asString());
        JsonNode is = golden.get("is");
        if (is.isString()) {
            InputException e = assertThrows(InputException.class, () -> proxies.select(address));
            assertTrue(e.getMessage().contains("_proxy is not an address such as http://host:8080"), e.getMessage());
            assertFalse(e.getMessage().contains("pa/ss"), e.getMessage());
            return;
        }
        assertEquals(
                is.path("address").asString(""),
                proxies.select(address)
                        .map(EnvironmentProxy.Server::toString)
                        .orElse("")
                        .toLowerCase());
        assertEquals(
                is.path("authorization").asString(""),
                proxies.select(address)
                        .flatMap(EnvironmentProxy.Server::authorization)
                        .orElse(""));
    }

    /** Which requests takes for a scheme, and curl for a host. */
    @ParameterizedTest
    @ValueSource(strings = {"localhost:3128", "proxy:3128", "user:pw@proxy:3128"})
    void aProxyNeedsNoScheme(String value) {
        assertTrue(EnvironmentProxy.of(Map.of("https_proxy", value))
                .select(HttpUrl.get("https://huggingface.co"))
                .orElseThrow()
                .toString()
                .endsWith(":3128"));
    }

    @Test
    void aPasswordForSocksIsRefused() {
        InputException e = assertThrows(
                InputException.class,
                () -> EnvironmentProxy.of(Map.of("all_proxy", "socks5://u:secret@h"))
                        .select(HttpUrl.get("https://huggingface.co")));
        assertTrue(
                e.getMessage().contains("which Java cannot log in to")
                        && !e.getMessage().contains("secret"),
                e.getMessage());
    }

    static Stream<JsonNode> variables() throws IOException {
        return golden("variables");
    }

    @ParameterizedTest
    @MethodSource("variables")
    void variablesAreThoseOfHuggingfaceHub(JsonNode golden) {
        HubVariables variables = new HubVariables(environment(golden));
        JsonNode is = golden.get("is");
        assertEquals(Path.of(is.get("cache").asString().replace("ROOTS-HOME", ROOTS_HOME)), variables.cache());
        assertEquals(is.get("token").isNull() ? null : is.get("token").asString(), variables.token());
        assertEquals(is.get("offline").asBoolean(), variables.offline(HubRepo.Kind.MODEL) != null);
        assertEquals(is.get("datasets_offline").asBoolean(), variables.offline(HubRepo.Kind.DATASET) != null);
        assertEquals(
                is.get("etag_timeout").asLong(), variables.patience().head().toSeconds());
        assertEquals(
                is.get("download_timeout").asLong(), variables.patience().get().toSeconds());
        assertEquals(is.get("endpoint").asString(), variables.endpoint());
        assertEquals(is.get("silent").asBoolean(), variables.isSilent());
    }

    @Test
    void aSavedTokenIsReadWhereItWasSaved() throws IOException {
        Files.writeString(
                Files.createDirectories(folder.resolve(".cache/huggingface")).resolve("token"), "hf_home\n");
        Files.writeString(folder.resolve("other"), " hf_other ");
        Map<String, String> home = Map.of("HOME", folder.toString());
        assertEquals("hf_home", new HubVariables(home).token());
        assertEquals(
                "hf_other", new HubVariables(Map.of("HOME", folder.toString(), "HF_TOKEN_PATH", "~/other")).token());
        assertEquals(
                "hf_other",
                new HubVariables(Map.of("HOME", folder.toString(), "HF_TOKEN_PATH", "${HOME}/other", "HF_TOKEN", ""))
                        .token());
        assertEquals(
                null,
                new HubVariables(Map.of("HOME", folder.toString(), "HF_HUB_DISABLE_IMPLICIT_TOKEN", "yes")).token());
        assertEquals(null, new HubVariables(Map.of("HOME", folder.toString(), "HF_HOME", "/nonexistent")).token());
    }

    @ParameterizedTest
    @ValueSource(strings = {"soon", "-1", "1.5", "99999999999"})
    void aTimeoutIsANumberOfSeconds(String value) {
        InputException e = assertThrows(InputException.class, () -> Hub.of(Map.of("HF_HUB_DOWNLOAD_TIMEOUT", value)));
        assertTrue(e.getMessage().contains("HF_HUB_DOWNLOAD_TIMEOUT should be a number of seconds"), e.getMessage());
    }

    @Test
    void theVariableThatForbidsRequestsIsNamed() {
        Hub hub = Hub.of(Map.of("HF_HUB_CACHE", folder.toString(), "TRANSFORMERS_OFFLINE", "1"));
        InputException e = assertThrows(InputException.class, () -> hub.file(HubRepo.model("gpt2"), "config.json"));
        assertTrue(e.getMessage().contains("TRANSFORMERS_OFFLINE is set: unset it"), e.getMessage());
    }
}
