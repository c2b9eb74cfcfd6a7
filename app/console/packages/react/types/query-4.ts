/** Version 5 replaced this component: the project compiles only if the types are those of version 4. */
export { Hydrate } from "@tanstack/react-query";
