/** Writes what "%.32g" makes of the number, and gives its length. A decorator is how AssemblyScript names an import. */
// @ts-ignore: only AssemblyScript allows it here
@external("env", "format")
export declare function format(value: f64, at: usize): usize;
