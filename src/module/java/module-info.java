/**
 * GPT-2 opened up with sparse autoencoders, through libtorch. What is not exported ({@code bindings}, {@code families},
 * {@code internal}) changes without notice.
 */
@SuppressWarnings({"requires-automatic", "requires-transitive-automatic"}) // neither has a descriptor
module io.github.panascope {
    exports io.github.panascope;
    exports io.github.panascope.dashboard;
    exports io.github.panascope.data;
    exports io.github.panascope.hub;
    exports io.github.panascope.lens;
    exports io.github.panascope.metrics;
    exports io.github.panascope.model;
    exports io.github.panascope.plot;
    exports io.github.panascope.sae;
    exports io.github.panascope.tokens;
    exports io.github.panascope.torch;
    exports io.github.panascope.weights;

    requires jdk.jfr;
    requires tools.jackson.databind;
    requires jtokkit;
    requires okhttp3;
    requires dev.hardwood.core;
    requires com.github.luben.zstd_jni;
    // For compilers and tools that look at nullness.
    requires static org.jspecify;
    // Left out by those who need neither YAML nor the command line, whose package is in a jar of its own.
    requires static org.snakeyaml.engine;
    requires static info.picocli;
    requires static jdk.httpserver;
}
