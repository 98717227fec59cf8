/**
 * Files of the Hugging Face hub. A file is looked up in the cache that Python's huggingface_hub shares; a file that is
 * not there is downloaded into it, continuing an interrupted download, and verified by length and checksum. Nothing
 * that is read is ever executed.
 *
 * <ul>
 *   <li>{@link io.github.panascope.hub.Hub}: finds and downloads files
 *   <li>{@link io.github.panascope.hub.HubRepo}: a repository of a model or a dataset, at one revision
 *   <li>{@link io.github.panascope.hub.SaeRegistry}: the published SAEs by name
 *   <li>{@code HubDownload} and {@code BlobDownload}, not public: which files are requested, and how the bytes of one
 *       arrive, go on after an interruption, and are verified
 *   <li>{@link io.github.panascope.hub.HubUnreachableException}: the hub does not answer
 * </ul>
 *
 * <pre>{@code
 * RELEASE/SAE_ID -> SaeRegistry -> repository and path
 *                                          |
 * HubRepo and file name -> Hub -> cache --(found)-----> Path
 *                                  |                     ^
 *                             (not found) -> download ---+
 * }</pre>
 */
@NullMarked
package io.github.panascope.hub;

import org.jspecify.annotations.NullMarked;
