/**
 * Opens GPT-2 with sparse autoencoders, through libtorch. The packages that are not exported ({@code bindings},
 * {@code families}, {@code internal}) change without notice.
 */
@SuppressWarnings({"requires-automatic", "requires-transitive-automatic"}) // two of them have no descriptor
module io.github.panascope {
    exports io.github.panascope;
    exports io.github.panascope.dashboard;
    exports io.github.panascope.data;
    exports io.github.panascope.demo;
    exports io.github.panascope.hub;
    exports io.github.panascope.lens;
    exports io.github.panascope.metrics;
    exports io.github.panascope.model;
    exports io.github.panascope.plot;
    exports io.github.panascope.sae;
    exports io.github.panascope.tokens;
    exports io.github.panascope.torch;
    exports io.github.panascope.weights;

    requires java.logging;
    requires jdk.jfr;
    requires tools.jackson.databind;
    requires jtokkit;
    requires okhttp3;
    requires com.github.luben.zstd_jni;
    // Reads Parquet. It has no descriptor, so the module path brings it along where it is.
    requires static dev.hardwood.core;
    // For compilers and tools that check nullness.
    requires static org.jspecify;
    // Not needed at run time without YAML and the command line; the package of the latter is in a jar of its own.
    requires static org.snakeyaml.engine;
    requires static info.picocli;
    requires static jdk.httpserver;
}
