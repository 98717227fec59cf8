/**
 * Files of the Hugging Face hub: {@link io.github.panascope.hub.Hub} finds them in the cache that huggingface_hub
 * shares, or downloads them into it, and {@link io.github.panascope.hub.SaeRegistry} knows the published SAEs by name.
 * Nothing that is read is ever executed.
 *
 * <pre>
 * HubRepo, file name -&gt; Hub -&gt; cache, else download (resumed, checked) -&gt; Path
 * </pre>
 */
@NullMarked
package io.github.panascope.hub;

import org.jspecify.annotations.NullMarked;
