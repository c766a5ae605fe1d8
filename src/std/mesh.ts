/** Above this many members not everybody is connected with everybody: 50 connections cost 5 MB and 0.35 s. */
export const meshMax = 50;
